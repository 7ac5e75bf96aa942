//+------------------------------------------------------------------+
//|                                                      Answers.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// Answers to what the relay reads: REQUEST and REFILL become PAGEs, one at a time.
//
// A page is made when there is room for it on the wire, so an answer of any length holds no more
// memory than its source. Every request ends with one page that says last: the rest of the
// answer, or an error.
// What must change together: this file and bridge/sim/answers.py.

#ifndef BRIDGE_MARKET_ANSWERS_MQH
#define BRIDGE_MARKET_ANSWERS_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Spec.mqh>
#include <Bridge/Wire/MsgPack.mqh>
#include <Bridge/Wire/Messages.mqh>
#include <Bridge/Market/Catalogue.mqh>
#include <Bridge/Market/TickReader.mqh>
#include <Bridge/Trade/TradeReads.mqh>

#define ANSWERS_OPEN_MAX    64
#define ANSWERS_REFUSED_MAX 4096
#define ANSWERS_LIMIT_MAX   1000
#define ANSWERS_GROUP_MAX   255
#define ANSWERS_OFFSET_MAX  2147483648
#define ANSWERS_REFILL_MAX  1000000
#define MQL_TICK_SIZE       60
#define ANSWERS_PAGE_TICKS  (WIRE_PAGE_PAYLOAD_MAX/MQL_TICK_SIZE)

//+------------------------------------------------------------------+
//| The rest of one answer                                           |
//+------------------------------------------------------------------+
class CAnswer
  {
public:
   uint              m_request_id;
   long              m_deadline_us;     // on this terminal's clock
   uint              m_pages;

                     CAnswer(const uint request_id,const long deadline_us);
   virtual          ~CAnswer(void) { }
   virtual bool      MayBlock(void) const { return(false); }
   // Fill the payload of the next page; other than OK: the request ends with this code and text.
   virtual uint      Part(uchar &payload[],uint &kind,bool &last,string &text)=0;
  };

CAnswer::CAnswer(const uint request_id,const long deadline_us) : m_request_id(request_id),
                                                                m_deadline_us(deadline_us),
                                                                m_pages(0)
  {
  }

//+------------------------------------------------------------------+
//| An answer that is there already                                  |
//+------------------------------------------------------------------+
class CValueAnswer : public CAnswer
  {
private:
   uchar             m_value[];
   int               m_at;

public:
                     CValueAnswer(const uint request_id,const long deadline_us);
   bool              Take(const CMsgPackWriter &writer) { return(writer.ToArray(m_value)); }
   virtual uint      Part(uchar &payload[],uint &kind,bool &last,string &text) override;
  };

CValueAnswer::CValueAnswer(const uint request_id,const long deadline_us) : CAnswer(request_id,deadline_us),
                                                                          m_at(0)
  {
  }

uint CValueAnswer::Part(uchar &payload[],uint &kind,bool &last,string &text)
  {
   kind=(uint)PAGE_MSGPACK;
   int size=ArraySize(m_value)-m_at;
   if(size>WIRE_PAGE_PAYLOAD_MAX)
      size=WIRE_PAGE_PAYLOAD_MAX;
   if(ArrayResize(payload,size)!=size || ArrayCopy(payload,m_value,0,m_at,size)!=size)
     {
      text="the terminal has no memory left";
      return((uint)ERROR_CODE_TERMINAL_ERROR);
     }
   m_at+=size;
   last=(m_at>=ArraySize(m_value));
   return((uint)ERROR_CODE_OK);
  }

//+------------------------------------------------------------------+
//| Ticks of the history behind a cursor, read page by page          |
//+------------------------------------------------------------------+
class CTicksAnswer : public CAnswer
  {
private:
   CTickReader      *m_reader;
   int               m_slot;
   long              m_until_msc;
   long              m_left;
   SCursor           m_after;
   bool              m_found;
   long              m_at_msc;
   int               m_seen;            // ticks at m_at_msc that were given already
   MqlTick           m_ticks[];

   uint              FindBegin(string &text);

public:
                     CTicksAnswer(CTickReader *reader,const int slot,const SRefill &refill,const long deadline_us);
   virtual bool      MayBlock(void) const override { return(m_reader.Symbols().MayBlockFrom(m_slot,m_at_msc)); }
   virtual uint      Part(uchar &payload[],uint &kind,bool &last,string &text) override;
  };

CTicksAnswer::CTicksAnswer(CTickReader *reader,const int slot,const SRefill &refill,const long deadline_us) :
                           CAnswer(refill.request_id,deadline_us),
                           m_reader(reader),
                           m_slot(slot),
                           m_until_msc(refill.until_msc),
                           m_left((long)refill.max_ticks),
                           m_found(false),
                           m_at_msc(refill.after.time_msc),
                           m_seen(0)
  {
   m_after=refill.after;
   if(m_until_msc<=0)
      m_until_msc=TICK_END_OF_TIME;
   if(m_left>ANSWERS_REFILL_MAX)
      m_left=ANSWERS_REFILL_MAX;
   if(m_at_msc<1)
      m_at_msc=1;
   if(m_after.ticks<=READER_CURSOR_TICKS_MAX)
      m_seen=(int)m_after.ticks;
   m_found=(m_after.time_msc==0 && m_after.ticks==0 && m_after.crc==0);
  }

uint CTicksAnswer::FindBegin(string &text)
  {
   uint reason=0;
   int total=0;
   if(!m_reader.Find(m_slot,m_after,reason,m_ticks,total))
     {
      text=m_reader.LoadingText(m_slot);
      return((uint)ERROR_CODE_NOT_SYNCHRONISED);
     }
   if(reason!=0)
     {
      string name="HISTORY_REVISED";
      if(reason==(uint)GAP_HISTORY_MISSING)
         name="HISTORY_MISSING";
      text="the history does not have the cursor: "+name;
      return((uint)ERROR_CODE_NOT_FOUND);
     }
   m_found=true;
   return((uint)ERROR_CODE_OK);
  }

uint CTicksAnswer::Part(uchar &payload[],uint &kind,bool &last,string &text)
  {
   kind=(uint)PAGE_MQL_TICK;
   last=true;
   if(ArrayResize(payload,0)!=0)
      return((uint)ERROR_CODE_TERMINAL_ERROR);
   if(!m_found)
     {
      const uint code=FindBegin(text);
      if(code!=(uint)ERROR_CODE_OK)
         return(code);
     }
   int wanted=ANSWERS_PAGE_TICKS;
   if(m_left<wanted)
      wanted=(int)m_left;
   if(wanted<=0)
      return((uint)ERROR_CODE_OK);
   int total=0;
   if(!m_reader.Read(m_slot,m_at_msc,m_seen+wanted,m_ticks,total))
     {
      text=m_reader.LoadingText(m_slot);
      return((uint)ERROR_CODE_NOT_SYNCHRONISED);
     }
   const int begin=m_seen;
   const bool full=(total>=begin+wanted);
   if(total>begin)
     {
      //--- all of them begin at m_at_msc, so those of the newest millisecond are all there
      m_at_msc=m_ticks[total-1].time_msc;
      m_seen=total-FindTickFrom(m_ticks,0,total,m_at_msc);
      m_left-=total-begin;
     }
   CByteBuffer out;
   int taken=0;
   for(int i=begin; i<total && m_ticks[i].time_msc<=m_until_msc; i++)
     {
      out.U64LE((ulong)m_ticks[i].time);
      out.F64LE(m_ticks[i].bid);
      out.F64LE(m_ticks[i].ask);
      out.F64LE(m_ticks[i].last);
      out.U64LE(m_ticks[i].volume);
      out.U64LE((ulong)m_ticks[i].time_msc);
      out.U32LE(m_ticks[i].flags);
      out.F64LE(m_ticks[i].volume_real);
      taken++;
     }
   if(out.Failed() || !out.ToArray(payload))
     {
      text="the terminal has no memory left";
      return((uint)ERROR_CODE_TERMINAL_ERROR);
     }
   last=(!full || m_left<=0 || taken<total-begin);
   return((uint)ERROR_CODE_OK);
  }

//--- how a request ends that failed
struct SRefusedRequest
  {
   uint              request_id;
   uint              page;
   uint              code;
   string            text;
  };

//+------------------------------------------------------------------+
//| The open requests of a session, answered in turn                 |
//+------------------------------------------------------------------+
class CAnswers
  {
private:
   CTickReader      *m_reader;
   CTradeReads      *m_trade_reads;
   CAnswer          *m_open[ANSWERS_OPEN_MAX];
   int               m_open_total;
   SRefusedRequest   m_refused[];
   int               m_refused_first;

   void              Refuse(const uint request_id,const uint page,const uint code,const string text);
   void              Push(CAnswer *answer);
   CAnswer          *Pop(void);
   uint              Value(const SRequest &request,const int utc_offset_min,CMsgPackWriter &writer,string &text);
   uint              Symbols(CMsgPackMap &params,CMsgPackWriter &writer,string &text);
   uint              Symbol(const string symbol,CMsgPackWriter &writer);
   uint              Tick(const string symbol,const int utc_offset_min,CMsgPackWriter &writer,string &text);
   bool              WholeNumber(CMsgPackMap &params,const string name,const long low,const long high,
                                 long &value,string &text);
   int               RefusedTotal(void) const { return(ArraySize(m_refused)-m_refused_first); }

public:
                     CAnswers(CTickReader *reader,CTradeReads *trade_reads);
                    ~CAnswers(void);
   bool              Any(void) const { return(m_open_total>0 || RefusedTotal()>0); }
   void              Request(const SRequest &request,const long deadline_us,const int utc_offset_min);
   void              Refill(const SRefill &refill,const long deadline_us);
   void              Cancel(const uint request_id);
   // Answer with an error, whatever it asks for.
   void              Decline(const uint request_id,const uint code,const string text);
   void              Clear(void);
   bool              WantsBlocking(void) const;
   bool              NextPage(const long now_us,SPage &page);
  };

CAnswers::CAnswers(CTickReader *reader,CTradeReads *trade_reads) : m_reader(reader),
                                                                  m_trade_reads(trade_reads),
                                                                  m_open_total(0),
                                                                  m_refused_first(0)
  {
   for(int i=0; i<ANSWERS_OPEN_MAX; i++)
      m_open[i]=NULL;
  }

CAnswers::~CAnswers(void)
  {
   Clear();
  }

// Take a REQUEST.
void CAnswers::Request(const SRequest &request,const long deadline_us,const int utc_offset_min)
  {
   Cancel(request.request_id);
   string text="";
   uint code=(uint)ERROR_CODE_TOO_MANY;
   if(m_open_total>=ANSWERS_OPEN_MAX)
      text=IntegerToString(ANSWERS_OPEN_MAX)+" requests are open";
   else
     {
      CMsgPackWriter writer;
      code=Value(request,utc_offset_min,writer,text);
      if(code==(uint)ERROR_CODE_OK)
        {
         CValueAnswer *answer=new CValueAnswer(request.request_id,deadline_us);
         if(CheckPointer(answer)!=POINTER_INVALID && answer.Take(writer))
           {
            Push(answer);
            return;
           }
         if(CheckPointer(answer)!=POINTER_INVALID)
            delete answer;
         code=(uint)ERROR_CODE_TERMINAL_ERROR;
         text="the terminal has no memory left";
        }
     }
   Refuse(request.request_id,0,code,text);
  }

// Take a REFILL: ticks behind a cursor up to a time.
void CAnswers::Refill(const SRefill &refill,const long deadline_us)
  {
   Cancel(refill.request_id);
   CSymbols *symbols=m_reader.Symbols();
   if(m_open_total>=ANSWERS_OPEN_MAX)
     {
      Refuse(refill.request_id,0,(uint)ERROR_CODE_TOO_MANY,IntegerToString(ANSWERS_OPEN_MAX)+" requests are open");
      return;
     }
   int slot=-1;
   if(symbols.Exists(refill.symbol))
      slot=symbols.Slot(refill.symbol);
   if(slot<0)
     {
      Refuse(refill.request_id,0,(uint)ERROR_CODE_UNKNOWN_SYMBOL,"the terminal has no symbol '"+refill.symbol+"'");
      return;
     }
//--- a symbol that cannot be selected cannot be read either: the first page says so
   symbols.Select(slot);
   CTicksAnswer *answer=new CTicksAnswer(m_reader,slot,refill,deadline_us);
   if(CheckPointer(answer)!=POINTER_INVALID)
      Push(answer);
  }

// Make no more pages of this request.
void CAnswers::Cancel(const uint request_id)
  {
   int kept=0;
   for(int i=0; i<m_open_total; i++)
     {
      if(m_open[i].m_request_id==request_id)
         delete m_open[i];
      else
        {
         m_open[kept]=m_open[i];
         kept++;
        }
     }
   m_open_total=kept;
  }

void CAnswers::Decline(const uint request_id,const uint code,const string text)
  {
   Cancel(request_id);
   Refuse(request_id,0,code,text);
  }

// The session is over.
void CAnswers::Clear(void)
  {
   for(int i=0; i<m_open_total; i++)
      delete m_open[i];
   m_open_total=0;
   ArrayFree(m_refused);
   m_refused_first=0;
  }

// Whether making the next page may block: send BUSY first.
bool CAnswers::WantsBlocking(void) const
  {
   if(RefusedTotal()>0 || m_open_total==0)
      return(false);
   return(m_open[0].MayBlock());
  }

// Make the next page; false when nothing is asked.
bool CAnswers::NextPage(const long now_us,SPage &page)
  {
   if(RefusedTotal()==0)
     {
      if(m_open_total==0)
         return(false);
      CAnswer *answer=Pop();
      uint code=(uint)ERROR_CODE_DEADLINE_PASSED;
      string text="the request's deadline passed at the terminal";
      page.last=true;
      page.kind=(uint)PAGE_MSGPACK;
      if(now_us<=answer.m_deadline_us)
        {
         text="";
         code=answer.Part(page.payload,page.kind,page.last,text);
        }
      if(code==(uint)ERROR_CODE_OK)
        {
         page.request_id=answer.m_request_id;
         page.page=answer.m_pages;
         page.code=code;
         page.text="";
         answer.m_pages++;
         //--- others get their turn
         if(page.last)
            delete answer;
         else
            Push(answer);
         return(true);
        }
      Refuse(answer.m_request_id,answer.m_pages,code,text);
      delete answer;
     }
   if(RefusedTotal()==0)
      return(false);
   page.request_id=m_refused[m_refused_first].request_id;
   page.page=m_refused[m_refused_first].page;
   page.last=true;
   page.code=m_refused[m_refused_first].code;
   page.text=m_refused[m_refused_first].text;
   page.kind=(uint)PAGE_MSGPACK;
   ArrayFree(page.payload);
   m_refused_first++;
   if(RefusedTotal()==0)
     {
      ArrayFree(m_refused);
      m_refused_first=0;
     }
   return(true);
  }

void CAnswers::Refuse(const uint request_id,const uint page,const uint code,const string text)
  {
   const int total=ArraySize(m_refused);
   if(total>=ANSWERS_REFUSED_MAX || ArrayResize(m_refused,total+1,16)!=total+1)
      return;
   m_refused[total].request_id=request_id;
   m_refused[total].page=page;
   m_refused[total].code=code;
   m_refused[total].text=ClipText(text,250);
  }

void CAnswers::Push(CAnswer *answer)
  {
   m_open[m_open_total]=answer;
   m_open_total++;
  }

CAnswer *CAnswers::Pop(void)
  {
   CAnswer *answer=m_open[0];
   m_open_total--;
   for(int i=0; i<m_open_total; i++)
      m_open[i]=m_open[i+1];
   return(answer);
  }

//+------------------------------------------------------------------+
//| Methods                                                          |
//+------------------------------------------------------------------+

uint CAnswers::Value(const SRequest &request,const int utc_offset_min,CMsgPackWriter &writer,string &text)
  {
   CMsgPackMap params;
   if(!params.Attach(request.params))
     {
      text="the parameters are no map";
      return((uint)ERROR_CODE_INVALID);
     }
   if(request.method=="symbols")
      return(Symbols(params,writer,text));
   if(CTradeReads::Knows(request.method))
      return(m_trade_reads.Answer(request.method,params,writer,text));
   if(request.method!="symbol" && request.method!="tick")
     {
      text="this terminal does not know '"+request.method+"'";
      return((uint)ERROR_CODE_UNSUPPORTED);
     }
   string symbol="";
   if(!params.GetText("symbol",symbol) || !m_reader.Symbols().Exists(symbol))
     {
      text="the terminal has no symbol '"+symbol+"'";
      return((uint)ERROR_CODE_UNKNOWN_SYMBOL);
     }
   if(request.method=="symbol")
      return(Symbol(symbol,writer));
   return(Tick(symbol,utc_offset_min,writer,text));
  }

uint CAnswers::Symbols(CMsgPackMap &params,CMsgPackWriter &writer,string &text)
  {
   string chosen="*";
   if(params.Has("group") && (!params.GetText("group",chosen) || StringLen(chosen)>ANSWERS_GROUP_MAX))
     {
      text="group: expected text of at most "+IntegerToString(ANSWERS_GROUP_MAX);
      return((uint)ERROR_CODE_INVALID);
     }
   long offset=0;
   long limit=500;
   if(!WholeNumber(params,"offset",0,ANSWERS_OFFSET_MAX,offset,text)
      || !WholeNumber(params,"limit",1,ANSWERS_LIMIT_MAX,limit,text))
      return((uint)ERROR_CODE_INVALID);
   string names[];
   if(!CCatalogue::Names(chosen,names))
     {
      text="the terminal has no memory left";
      return((uint)ERROR_CODE_TERMINAL_ERROR);
     }
   const long total=(long)ArraySize(names);
   long begin=offset;
   if(begin>total)
      begin=total;
   long end=offset+limit;
   if(end>total)
      end=total;
   CCatalogue catalogue(GetPointer(writer));
   writer.BeginMap(3);
   writer.String("symbols");
   writer.BeginArray((int)(end-begin));
   for(int i=(int)begin; i<(int)end; i++)
      catalogue.DescribeInList(names[i]);
   writer.String("total");
   writer.Integer(total);
   writer.String("next_offset");
   if(offset+limit<total)
      writer.Integer(offset+limit);
   else
      writer.Nil();
   return((uint)ERROR_CODE_OK);
  }

uint CAnswers::Symbol(const string symbol,CMsgPackWriter &writer)
  {
   CCatalogue catalogue(GetPointer(writer));
   writer.BeginMap(1);
   writer.String("symbol");
   catalogue.Describe(symbol);
   return((uint)ERROR_CODE_OK);
  }

uint CAnswers::Tick(const string symbol,const int utc_offset_min,CMsgPackWriter &writer,string &text)
  {
   CSymbols *symbols=m_reader.Symbols();
   const int slot=symbols.Slot(symbol);
   int error=ERR_NOT_ENOUGH_MEMORY;
   if(slot>=0)
      error=symbols.Select(slot);
   MqlTick tick={};
   if(error==0)
     {
      ResetLastError();
      if(!SymbolInfoTick(symbol,tick))
        {
         error=GetLastError();
         if(error==0)
            error=ERR_MARKET_LASTTIME_UNKNOWN;
        }
     }
   if(error==ERR_MARKET_LASTTIME_UNKNOWN)
     {
      text=symbol+" has no tick yet";
      return((uint)ERROR_CODE_NOT_FOUND);
     }
   if(error!=0)
     {
      text="SymbolInfoTick failed with "+IntegerToString(error);
      return((uint)ERROR_CODE_TERMINAL_ERROR);
     }
   writer.BeginMap(1);
   writer.String("tick");
   writer.BeginMap(7);
   writer.String("time_msc");
   writer.Integer(tick.time_msc);
   writer.String("bid");
   writer.Double(tick.bid);
   writer.String("ask");
   writer.Double(tick.ask);
   writer.String("last");
   writer.Double(tick.last);
   writer.String("volume_real");
   writer.Double(tick.volume_real);
   writer.String("flags");
   writer.Integer((long)tick.flags);
   writer.String("utc_offset_min");
   writer.Integer((long)utc_offset_min);
   return((uint)ERROR_CODE_OK);
  }

bool CAnswers::WholeNumber(CMsgPackMap &params,const string name,const long low,const long high,
                           long &value,string &text)
  {
   if(!params.Has(name))
      return(true);
   if(params.GetInteger(name,value) && value>=low && value<=high)
      return(true);
   text=name+": expected a whole number from "+IntegerToString(low)+" to "+IntegerToString(high);
   return(false);
  }

#endif // BRIDGE_MARKET_ANSWERS_MQH
