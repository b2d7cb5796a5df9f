/*
 * stopwords.c - see stopwords.h. Parts that a tokenizer leaves of contractions ("don", "ll",
 * "qu") are words here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "stopwords.h"

/* clang-format off */
const char *const stopword_lists[] = {
    /* english */
    "a an the this that these those "
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves "
    "he him his himself she her hers herself it its itself they them their theirs themselves one ones oneself "
    "who whom whose which what whatever whichever whoever when whenever where wherever why how however "
    "and or nor but yet so if unless until while whereas although though because since as than whether "
    "lest once "
    "about above across after against along amid among around at before behind below beneath beside besides "
    "between beyond by despite down during except for from in inside into like near of off on onto out outside "
    "over per through throughout to toward towards under underneath until up upon via with within without "
    "am is are was were be been being have has had having do does did doing done can could may might must "
    "shall should will would ought cannot let lets "
    "not no none neither never nothing nobody nowhere "
    "all any anybody anyone anything both each either enough every everybody everyone everything few fewer "
    "less little many more most much other others another same several some somebody someone something such "
    "again ahead almost already also always anyway away back else even ever far further furthermore hence here "
    "indeed instead just maybe meanwhile moreover nevertheless next now often only otherwise perhaps quite "
    "rather really still then there thereby therefore thus together too very well "
    "s t d ll m re ve don doesn didn isn aren wasn weren hasn haven hadn won wouldn couldn shouldn mustn "
    "needn ain shan mightn o",
    /* german */
    "der die das des dem den ein eine einer eines einem einen kein keine keiner keines keinem keinen "
    "ich mich mir meiner du dich dir deiner er ihn ihm seiner sie ihr ihrer es wir uns unser euch euer ihnen man "
    "mein meine meiner meines meinem meinen dein deine deiner deines deinem deinen sein seine seines seinem "
    "seinen ihre ihres ihrem ihren unsere unseres unserem unseren eure eurer eures eurem euren sich "
    "dieser diese dieses diesem diesen jener jene jenes jenem jenen derselbe dieselbe dasselbe denen deren dessen "
    "wer wen wem wessen was welcher welche welches welchem welchen wann wo wohin woher warum weshalb wie "
    "und oder aber denn sondern sowie sowohl als auch weder noch entweder dass ob wenn weil da damit obwohl "
    "während bevor nachdem bis seit sobald solange indem falls "
    "ab an am ans auf aus außer bei beim bis durch für gegen hinter in im ins mit nach neben ohne seit statt "
    "trotz über um unter von vom vor wegen zu zum zur zwischen "
    "bin bist ist sind seid war warst waren wart gewesen habe hast hat haben habt hatte hattest hatten hattet "
    "gehabt werde wirst wird werden werdet wurde wurden worden würde würden kann kannst können könnt konnte "
    "konnten muss musst müssen müsst musste mussten soll sollst sollen sollte sollten will willst wollen wollte "
    "wollten darf dürfen durfte mag mögen möchte nicht nichts nie niemals nur "
    "alle allem allen aller alles andere anderen anderer anderes beide beiden einige einigen einiges etwas jede "
    "jedem jeden jeder jedes manche manchen mancher mehr mehrere viel viele vielen wenig wenige solche solcher "
    "solches hier dort dann daher dabei dadurch dafür dagegen danach daran darauf daraus darin darum darüber "
    "davon dazu doch eben ebenso einmal erst etwa ganz gar hin immer ja jedoch jetzt nun oft schon sehr so "
    "sonst trotzdem überhaupt wieder wohl zwar",
    /* french */
    "le la les l un une des du de d au aux ce cet cette ces c "
    "je j me m moi tu te t toi il elle on nous vous ils elles se s soi lui leur leurs eux en y "
    "mon ma mes ton ta tes son sa ses notre nos votre vos mien mienne tien tienne sien sienne "
    "qui que qu quoi dont où lequel laquelle lesquels lesquelles quel quelle quels quelles quand comment pourquoi "
    "combien et ou mais donc or ni car si comme lorsque puisque quoique afin parce tandis "
    "à après avant avec chez contre dans depuis derrière dès devant durant entre envers hors jusque jusqu malgré "
    "outre par parmi pendant pour sans sauf selon sous sur vers "
    "être suis es est sommes êtes sont étais était étions étiez étaient fut furent sera serai seront serait "
    "seraient soit soient été étant avoir ai as a avons avez ont avais avait avions aviez avaient eu aura auront "
    "aurait auraient ait aient ayant fait faire font peut peuvent pouvait doit doivent devait faut "
    "ne n pas plus jamais rien aucun aucune personne non "
    "tout toute tous toutes autre autres certain certaine certains certaines chaque même mêmes plusieurs quelque "
    "quelques tel telle tels telles peu beaucoup trop assez très moins aussi ainsi alors ailleurs cela ceci ça "
    "celui celle ceux celles là ici encore enfin ensuite puis déjà toujours souvent surtout seulement bien",
    /* spanish */
    "el la los las un una unos unas lo al del este esta esto estos estas ese esa eso esos esas aquel aquella "
    "aquello aquellos aquellas yo me mí conmigo tú te ti contigo usted ustedes él ella ello ellos ellas le les se "
    "sí consigo nosotros nosotras nos vosotros vosotras os mi mis tu tus su sus nuestro nuestra nuestros nuestras "
    "vuestro vuestra vuestros vuestras mío mía suyo suya "
    "que qué quien quién quienes cual cuál cuales cuyo cuya cuando cuándo donde dónde como cómo cuanto cuánto "
    "y e o u ni pero mas sino si porque pues aunque mientras conforme "
    "a ante bajo con contra de desde durante en entre hacia hasta mediante para por según sin sobre tras "
    "ser soy eres es somos sois son era eras éramos eran fui fue fueron será serán sería serían sea sean siendo "
    "sido estar estoy estás está estamos están estaba estaban estuvo esté estén estado haber he has ha hemos han "
    "había habían hubo habrá habría haya hayan hay tener tengo tiene tienen tenía puede pueden podía debe deben "
    "hacer hace hacen "
    "no nunca jamás nada nadie ningún ninguna ninguno tampoco "
    "todo toda todos todas otro otra otros otras algún alguna alguno algunos algunas algo alguien cada mismo "
    "misma mismos mismas mucho mucha muchos muchas poco poca pocos pocas varios varias tal tales tan tanto tanta "
    "más menos muy también así aquí allí ahí ahora entonces luego después antes ya aún todavía siempre solo sólo "
    "bien casi además",
    /* none */
    "",
};
/* clang-format on */
